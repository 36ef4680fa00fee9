// Package settings holds everything that an operator may set, each setting once: its name, its check, its default and
// its documentation, wherever it is read.
package settings

import (
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
)

// Names of the settings.
const (
	Addr    = "ADDR"
	Data    = "DATA"
	Records = "RECORDS"

	TableConnections = "TABLE_CONNECTIONS"
	TableBlobs       = "TABLE_BLOBS"
	TableEvents      = "TABLE_EVENTS"
	TablePeople      = "TABLE_PEOPLE"
	QueueBlobs       = "QUEUE_BLOBS"
	QueueMessages    = "QUEUE_MESSAGES"

	ClientID       = "MAILTRAIL_CLIENT_ID"
	Publisher      = "MAILTRAIL_PUBLISHER"
	Secret         = "MAILTRAIL_CLIENT_SECRET"
	NewSecret      = "MAILTRAIL_NEW_CLIENT_SECRET"
	Certificate    = "MAILTRAIL_CLIENT_CERTIFICATE"
	NewCertificate = "MAILTRAIL_NEW_CLIENT_CERTIFICATE"
	CredentialARN  = "MAILTRAIL_CREDENTIAL_ARN"
	Cloud          = "MAILTRAIL_CLOUD"
	RedirectURL    = "MAILTRAIL_REDIRECT_URL"
	BaseURL        = "MAILTRAIL_BASE_URL"
	Endpoints      = "MAILTRAIL_ENDPOINTS"

	RetentionDays = "MAILTRAIL_RETENTION_DAYS"
	Hashes        = "MAILTRAIL_HASHES"
	HashLimitMB   = "MAILTRAIL_HASH_LIMIT_MB"
	EnrichMinutes = "MAILTRAIL_ENRICH_MINUTES"
	LookDays      = "MAILTRAIL_LOOK_DAYS"
	CheckSends    = "MAILTRAIL_CHECK_SENDS"
)

// Settings is the content of an environment, checked, with the defaults filled in.
type Settings struct {
	Addr    string // host and port
	Data    string // "" is one by what runs in it
	Records string // "" is none

	Tables        Tables
	BlobQueue     string
	MessageQueue  string
	CredentialARN string

	Cloud        connection.Cloud
	Applications map[connection.Cloud]Application // that the environment describes, in whole or in part
	Endpoints    string                           // JSON of what differs from Microsoft's own; "" is nothing
	Base         string                           // address of this service, without a trailing slash; "" is not known

	Retention time.Duration // 0 is for ever
	Hashes    enrich.Setting
	HashLimit int64 // bytes
	EnrichFor time.Duration
	LookFor   time.Duration
	// CheckSends is that one in so many sends without attachments is checked; 0 is none.
	CheckSends int

	given map[string]string
}

// Tables are the names of DynamoDB's tables.
type Tables struct{ Connections, Blobs, Events, People string }

// Application is our application at Microsoft in one cloud.
type Application struct {
	ClientID     string
	Publisher    string
	Secrets      []string   // any of them may be good
	Certificates []Variable // files, any of which may be good
}

// Variable is a variable with its value, so that a later error can name the variable.
type Variable struct{ Name, Value string }

// Given reports whether the environment sets the setting. Otherwise it has its default.
func (s Settings) Given(name string) bool { return s.given[name] != "" }

// Real reports whether the environment asks for the real Microsoft, which any part of its settings does.
func (s Settings) Real() bool { return len(s.real()) > 0 }
