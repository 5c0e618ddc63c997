"""What can be learnt of a policy without serving it. Pure, and beside the compiler."""
