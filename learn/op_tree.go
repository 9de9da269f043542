package learn

func treeOperators() []operator { return nil }
