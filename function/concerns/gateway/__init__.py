"""The AI gateway's route to the model, and the endpoint picker behind it."""
