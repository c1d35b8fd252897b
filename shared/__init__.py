"""The ground under all services: the published language, the safe passage of facts, personal data declared once."""
