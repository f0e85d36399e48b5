"""What an integrator needs to test a site that logs on through Keystead: a key made of code, a visitor, a mailbox, a clock."""
