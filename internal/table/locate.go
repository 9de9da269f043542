package table

// Locate returns the absolute paths of the files that Read would read for a URI, in its order, without opening them.
func Locate(uri string) ([]string, error) {
	sources, err := locate(uri)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(sources))
	for i, s := range sources {
		out[i] = s.path
	}
	return out, nil
}
