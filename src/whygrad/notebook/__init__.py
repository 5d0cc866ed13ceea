"""`%load_ext whygrad`: `%%why` records the cell it stands on, `%why ADDRESS` asks what the cells recorded."""
