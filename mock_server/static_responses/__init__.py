"""Responses that follow from the contract alone: from its examples, or generated from its schemas."""
