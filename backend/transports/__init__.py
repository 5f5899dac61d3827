"""How each side is asked, behind one Protocol."""
