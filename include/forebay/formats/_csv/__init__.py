"""How CSV files are read: where records begin and end, what is data in them, and three witnesses."""
