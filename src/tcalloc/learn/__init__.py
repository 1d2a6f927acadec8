"""Policies: what decides on a new question, from cheap features or while its samples come in (extra ``learn``)."""
