"""`tcalloc.wrap`: an OpenAI client whose chat completions are adaptive."""
