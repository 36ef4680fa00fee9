package parts

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/m365"
)

// The variables that a function may need. The last three may be missing for all.
const (
	TableConnections = "TABLE_CONNECTIONS"        // name of a DynamoDB table
	TableBlobs       = "TABLE_BLOBS"              // name of a DynamoDB table
	TableEvents      = "TABLE_EVENTS"             // name of a DynamoDB table
	TablePeople      = "TABLE_PEOPLE"             // name of a DynamoDB table
	QueueBlobs       = "QUEUE_BLOBS"              // URL of an SQS queue
	QueueMessages    = "QUEUE_MESSAGES"           // URL of an SQS queue
	Hashes           = "MAILTRAIL_HASHES"         // which files are hashed: all, external, none
	HashLimitMB      = "MAILTRAIL_HASH_LIMIT_MB"  // size above which a file is not hashed
	EnrichMinutes    = "MAILTRAIL_ENRICH_MINUTES" // for how long recipients and hashes of a message are looked for
	ClientID         = "MAILTRAIL_CLIENT_ID"      // GUID of the application that is registered at Microsoft
	CredentialARN    = "MAILTRAIL_CREDENTIAL_ARN" // of a Secrets Manager secret: PEM with certificate and key, or a client secret
	Publisher        = "MAILTRAIL_PUBLISHER"      // GUID of the operator's own tenant
	Cloud            = "MAILTRAIL_CLOUD"          // commercial, gcc, gcchigh or dod

	RetentionDays = "MAILTRAIL_RETENTION_DAYS" // how long events are kept; 90
	BaseURL       = "MAILTRAIL_BASE_URL"       // address that browsers use; that of the HTTP API
	Microsoft     = "MAILTRAIL_MICROSOFT"      // m365.Endpoints as JSON, in the place of the cloud's
)

const (
	defaultRetention = 90
	maxRetention     = 3650
	maxLimitMB       = 10_000
	maxMinutes       = 60
)

// Config is what the environment of a function says.
type Config struct {
	Tables        Tables
	BlobQueue     string
	Messages      string        // the queue of messages
	Hashed        string        // all, external or none
	HashLimit     int64         // bytes
	Deadline      time.Duration // of enriching a message
	ClientID      string
	CredentialARN string
	Publisher     string
	Cloud         connection.Cloud
	Endpoints     m365.Endpoints
	Retention     time.Duration
	Base          string // without a trailing slash; "" is the address that a request came to
}

// Tables are the names of the tables.
type Tables struct{ Connections, Blobs, Events, People string }

// Read reads the environment. The error names every needed variable that is missing, and every one that is wrong.
func Read(getenv func(string) string, needed ...string) (Config, error) {
	var wrong []error
	for _, name := range needed {
		if getenv(name) == "" {
			wrong = append(wrong, fmt.Errorf("%s is missing", name))
		}
	}
	c := Config{
		Tables:        Tables{Connections: getenv(TableConnections), Blobs: getenv(TableBlobs), Events: getenv(TableEvents), People: getenv(TablePeople)},
		BlobQueue:     getenv(QueueBlobs),
		Messages:      getenv(QueueMessages),
		Hashed:        getenv(Hashes),
		ClientID:      getenv(ClientID),
		CredentialARN: getenv(CredentialARN),
		Publisher:     getenv(Publisher),
	}
	var err error
	if c.Cloud, err = connection.ParseCloud(getenv(Cloud)); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", Cloud, err))
	}
	if c.Endpoints, err = endpoints(c.Cloud, getenv(Microsoft)); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", Microsoft, err))
	}
	if c.Retention, err = days(getenv(RetentionDays)); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", RetentionDays, err))
	}
	if !slices.Contains([]string{"", "all", "external", "none"}, c.Hashed) {
		wrong = append(wrong, fmt.Errorf("%s: %q is none of all, external, none", Hashes, c.Hashed))
	}
	limit, err := whole(getenv(HashLimitMB), maxLimitMB)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", HashLimitMB, err))
	}
	minutes, err := whole(getenv(EnrichMinutes), maxMinutes)
	if err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", EnrichMinutes, err))
	}
	c.HashLimit, c.Deadline = int64(limit)<<20, time.Duration(minutes)*time.Minute
	if c.Base, err = base(getenv(BaseURL)); err != nil {
		wrong = append(wrong, fmt.Errorf("%s: %w", BaseURL, err))
	}
	return c, errors.Join(wrong...)
}

// endpoints are those of the cloud, unless the environment names others; m365.New checks them.
func endpoints(c connection.Cloud, text string) (m365.Endpoints, error) {
	e := m365.Clouds()[c]
	if text == "" {
		return e, nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return m365.Endpoints{}, fmt.Errorf("this is no JSON of endpoints: %w", err)
	}
	return e, nil
}

func days(text string) (time.Duration, error) {
	n := defaultRetention
	if text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxRetention {
			return 0, fmt.Errorf("%q is not a number of days from 1 to %d", text, maxRetention)
		}
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// whole is a whole number from 1 to most; 0 when there is no text.
func whole(text string, most int) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%q is not a whole number from 1 to %d", text, most)
	}
	return n, nil
}

func base(text string) (string, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return "", nil
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", fmt.Errorf("%q is no http or https URL", text)
	case u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", fmt.Errorf("%q is more than a scheme and a host", text)
	}
	return text, nil
}
