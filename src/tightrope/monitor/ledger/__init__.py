"""The gradient ledger: is the gradient that is applied the one of the claimed loss and penalty, and if not, which."""
