"""A question to ranked evidence: legs, fusion, two rerank stages, the context filter."""
