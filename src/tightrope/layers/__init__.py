"""Other people's layers: find them, their weight as a matrix, their action as a linear map."""
