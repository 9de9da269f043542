package assay

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// A Digest names bytes or facts by content: "sha256:" and 64 lower-case hex digits.
type Digest string

const digestPrefix = "sha256:"

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest { return DigestSum(sha256.Sum256(b)) }

// DigestSum returns the digest for a SHA-256 sum.
func DigestSum(sum [sha256.Size]byte) Digest {
	return Digest(digestPrefix + hex.EncodeToString(sum[:]))
}

// ParseDigest checks s. It accepts the full form only; a prefix typed by a person is resolved by the store.
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, digestPrefix)
	if !ok || len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", Errorf(Invalid, "%q is not a digest: want sha256: and 64 lower-case hex digits", s)
	}
	return Digest(s), nil
}

// Hex returns the 64 hex digits.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), digestPrefix) }

// Short returns the first 12 hex digits, for people.
func (d Digest) Short() string {
	h := d.Hex()
	return h[:min(12, len(h))]
}
