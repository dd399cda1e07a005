"""Images: where they come from, how they become pixels, and the picture that goes back."""
