"""The forms of requests: chat completions, Anthropic's messages, OpenAI's responses; all are answered as the first."""
