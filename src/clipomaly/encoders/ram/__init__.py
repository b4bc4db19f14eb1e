"""RAM and RAM++: which of several thousand tags does a picture show?"""
