"""What a run did, as inert data: the model, addresses, history, invariants, the file format. No torch here."""
