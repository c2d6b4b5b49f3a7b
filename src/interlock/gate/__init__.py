"""Where it bites: permits, and the places that demand one."""
