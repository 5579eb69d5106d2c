"""What a claim's author may do to pods and to the platform, and what the settings must allow."""
