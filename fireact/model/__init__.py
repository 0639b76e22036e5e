"""Models: anything that completes a conversation, one file or folder each."""
