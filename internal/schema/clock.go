package schema

// Dates, times and timestamps are read strictly (RFC 3339) and without allocating: time.Parse accepts more, and is slower.

// digits2 reads two digits at b[i:].
func digits2(b []byte, i int) (int, bool) {
	if i+2 > len(b) || b[i] < '0' || b[i] > '9' || b[i+1] < '0' || b[i+1] > '9' {
		return 0, false
	}
	return int(b[i]-'0')*10 + int(b[i+1]-'0'), true
}

// parseDate reads YYYY-MM-DD as days since 1970-01-01 of the proleptic Gregorian calendar.
func parseDate(b []byte) (int64, bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	c, ok1 := digits2(b, 0)
	y, ok2 := digits2(b, 2)
	m, ok3 := digits2(b, 5)
	d, ok4 := digits2(b, 8)
	y += c * 100
	if !ok1 || !ok2 || !ok3 || !ok4 || m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, false
	}
	return civilDays(y, m, d), true
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// civilDays counts the days from 1970-01-01, by eras of 400 years that begin in March.
func civilDays(y, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	doy := (153*((m+9)%12)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// parseTime reads HH:MM:SS with up to nine digits of a fraction as microseconds since midnight; finer digits are cut.
func parseTime(b []byte) (int64, bool) {
	us, rest, ok := clock(b)
	return us, ok && len(rest) == 0
}

func clock(b []byte) (int64, []byte, bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, nil, false
	}
	h, ok1 := digits2(b, 0)
	m, ok2 := digits2(b, 3)
	s, ok3 := digits2(b, 6)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 59 {
		return 0, nil, false
	}
	us := int64(h*3600+m*60+s) * 1e6
	b = b[8:]
	if len(b) == 0 || b[0] != '.' {
		return us, b, true
	}
	n, unit := 1, int64(1e5)
	for ; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
		us += int64(b[n]-'0') * unit
		unit /= 10
	}
	if n == 1 || n > 10 {
		return 0, nil, false
	}
	return us, b[n:], true
}

// parseTimestamp reads a date and a time, joined by T, with Z or an offset, as microseconds since 1970 UTC.
func parseTimestamp(b []byte) (int64, bool) {
	if len(b) < 20 || b[10] != 'T' && b[10] != 't' {
		return 0, false
	}
	day, ok := parseDate(b[:10])
	us, zone, ok2 := clock(b[11:])
	if !ok || !ok2 || len(zone) == 0 {
		return 0, false
	}
	us += day * 86400e6
	switch {
	case len(zone) == 1 && (zone[0] == 'Z' || zone[0] == 'z'):
		return us, true
	case len(zone) == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':':
		h, ok1 := digits2(zone, 1)
		m, ok2 := digits2(zone, 4)
		if !ok1 || !ok2 || h > 23 || m > 59 {
			return 0, false
		}
		off := int64(h*3600+m*60) * 1e6
		if zone[0] == '-' {
			off = -off
		}
		return us - off, true
	}
	return 0, false
}
