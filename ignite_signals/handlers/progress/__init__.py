"""What a progress bar is made of: a line that follows an engine, the count on it, the values, and where it is drawn."""
