"""Who reaches whom: what network policies make of a flow, and which flows a claim needs.

Pure: policies come in as manifests of either form, endpoints as labels and addresses.
"""
