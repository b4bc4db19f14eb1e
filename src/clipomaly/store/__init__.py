"""What was found, what people decided about it, and which names grew out of both.

tables (Lance) · results (runs, frames, findings, vectors) · decisions (SQL, append-only) · catalogue (both in
memory) · taxonomy (the governed vocabulary) · mining (search, clusters, what to review next)
"""
