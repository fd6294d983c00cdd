"""Run heavy commands on other machines as if they ran here."""

__version__ = "0.1.0"

# Raised whenever client and worker of different versions could misunderstand each other.
PROTOCOL = 1
