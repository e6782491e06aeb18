"""What is in stock, reserved and shipped."""
