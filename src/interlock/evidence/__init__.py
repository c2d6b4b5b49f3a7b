"""What is known: signed statements, who may sign them, and how they become facts."""
