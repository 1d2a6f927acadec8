"""What live use shares, whatever asks: `answer` now, a gateway later."""
