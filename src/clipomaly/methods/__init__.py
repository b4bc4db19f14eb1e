"""One method a file; `table.METHODS` lists them."""
