"""What is saved, resumed and gone back to."""
