"""How a model is led through a question: one generator a file, none of which knows a model or a tool."""
