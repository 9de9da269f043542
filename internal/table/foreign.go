package table

import (
	"bytes"

	"github.com/assay-ml/assay"
)

// foreignFormats are files that are often taken for tables, by their first bytes.
var foreignFormats = []struct {
	magic string
	at    int
	what  string
	try   string
}{
	{"PK\x03\x04", 0, "a zip archive", "unpack it and name the table that is in it"},
	{"PK\x05\x06", 0, "an empty zip archive", "name the table itself"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "an Excel workbook (.xls) or another Office document of before 2007", saveSheet},
	{"1AY&SY", 4, "compressed with bzip2", "bunzip2 it, or compress it with gzip or zstd"},
	{"\xfd7zXZ\x00", 0, "compressed with xz", "unxz it, or compress it with gzip or zstd"},
	{"\x04\x22\x4d\x18", 0, "compressed with lz4", "unlz4 it, or compress it with gzip or zstd"},
	{"7z\xbc\xaf\x27\x1c", 0, "a 7z archive", "unpack it and name the table that is in it"},
	{"Rar!\x1a\x07", 0, "a rar archive", "unpack it and name the table that is in it"},
	{"ustar\x00", 257, "a tar archive", "unpack it and name the table or the folder that is in it"},
	{"ustar  \x00", 257, "a tar archive", "unpack it and name the table or the folder that is in it"},
	{"SQLite format 3\x00", 0, "an SQLite database", "write the table of it to .csv or .parquet and name that"},
	{"DUCK", 8, "a DuckDB database", "write the table of it to .csv or .parquet (COPY t TO 't.parquet') and name that"},
	{"ARROW1\x00\x00", 0, "an Arrow file (Feather)", "write it to .parquet (pyarrow.parquet.write_table) and name that"},
	{"Obj\x01", 0, "an Avro file", "write it to .parquet or .jsonl and name that"},
	{"\x89HDF\r\n\x1a\n", 0, "an HDF5 file", "write the table of it to .csv or .parquet and name that"},
	{"\x93NUMPY", 0, "a NumPy array", "write it to .csv or .parquet, with names for its columns, and name that"},
	{"\x80\x04\x95", 0, "a Python pickle", "write the table of it to .csv or .parquet (DataFrame.to_parquet) and name that"},
	{"\x80\x05\x95", 0, "a Python pickle", "write the table of it to .csv or .parquet (DataFrame.to_parquet) and name that"},
	{"%PDF-", 0, "a PDF document", "name the table itself"},
}

const saveSheet = "save the sheet as CSV (UTF-8) and name that"

// foreign returns what is wrong with a file that begins as one of another format does, and nil for all others.
func foreign(name string, head []byte) error {
	for _, f := range foreignFormats {
		if len(head) < f.at || !bytes.HasPrefix(head[f.at:], []byte(f.magic)) {
			continue
		}
		what, try := f.what, f.try
		if f.at == 4 && !bytes.HasPrefix(head, []byte("BZh")) || f.magic == "DUCK" && bytes.IndexByte(head[:min(len(head), 32)], 0) < 0 {
			continue // text may hold the same letters
		}
		if what == "a zip archive" {
			switch start := head[:min(len(head), 4096)]; {
			case bytes.Contains(start, []byte("xl/")) || bytes.Contains(start, []byte("[Content_Types].xml")) && !bytes.Contains(start, []byte("word/")) && !bytes.Contains(start, []byte("ppt/")):
				what, try = "an Excel workbook (.xlsx)", saveSheet
			case bytes.Contains(start, []byte("opendocument.spreadsheet")):
				what, try = "a spreadsheet (.ods)", saveSheet
			case bytes.Contains(start, []byte(".npy")):
				what, try = "an archive of NumPy arrays (.npz)", "write the table to .csv or .parquet and name that"
			}
		}
		return assay.Errorf(assay.Rejected, "%s is %s, not a table that can be read: want CSV, JSON, JSON Lines or Parquet, of which the first three may be compressed with gzip or zstd", name, what).Try("%s", try)
	}
	return nil
}
