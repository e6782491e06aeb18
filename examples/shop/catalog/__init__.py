"""What is for sale, and at which price."""
