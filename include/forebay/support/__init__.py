"""The ground floor: small helpers of the standard library only, which every layer may use."""
