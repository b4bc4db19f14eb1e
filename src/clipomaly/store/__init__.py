"""What was found, what people decided about it, and which names grew out of both.

results (runs, frames, findings, vectors; in Lance's tables) · decisions (SQL, append-only) · catalogue (both in memory)
· taxonomy (the governed vocabulary) · mining (search, clusters, what to review next)
"""
