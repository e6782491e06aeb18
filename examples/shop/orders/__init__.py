"""What was ordered, and what became of it: the only module that confirms or cancels."""
