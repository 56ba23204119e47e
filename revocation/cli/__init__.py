"""What operators type. Each module holds the commands of one concern."""
