"""What tests of training behind the gate begin with."""

from __future__ import annotations

import pytest


@pytest.fixture
def permit(whole, model_folder):
    """For the model, by the whole story."""
    import training_lab

    return training_lab.permit(whole, model_folder)


@pytest.fixture
def one_thread():
    """The model is too small for more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
