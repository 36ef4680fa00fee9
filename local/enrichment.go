package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/mailtrail/mailtrail/shared/enrich"
)

// The variables that say how recipients and hashes are looked for.
const (
	envHashes    = "MAILTRAIL_HASHES"
	envHashLimit = "MAILTRAIL_HASH_LIMIT_MB"
	envMinutes   = "MAILTRAIL_ENRICH_MINUTES"
)

// enrichment is how recipients and hashes are looked for; zero values are the defaults.
type enrichment struct {
	hashes   enrich.Setting
	limit    int64 // bytes
	deadline time.Duration
}

func readEnrichment(getenv func(string) string) (e enrichment, err error) {
	if e.hashes, err = enrich.ParseSetting(getenv(envHashes)); err != nil {
		return e, fmt.Errorf("%s: %w", envHashes, err)
	}
	megabytes, err := whole(envHashLimit, getenv(envHashLimit), 1, 10_000)
	if err != nil {
		return e, err
	}
	minutes, err := whole(envMinutes, getenv(envMinutes), 1, 60)
	if err != nil {
		return e, err
	}
	e.limit, e.deadline = int64(megabytes)<<20, time.Duration(minutes)*time.Minute
	return e, nil
}

// whole reads a variable that is a whole number; "" is 0, for the default.
func whole(name, text string, least, most int) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s=%s is not a whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}
