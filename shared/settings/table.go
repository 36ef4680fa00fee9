package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mailtrail/mailtrail/shared/connection"
	"github.com/mailtrail/mailtrail/shared/enrich"
)

// Place is where Mailtrail runs. A setting of the other place is known but not read.
type Place string

const (
	Everywhere Place = "everywhere"
	Machine    Place = "one machine"
	AWS        Place = "AWS"
)

// Setting is one variable that an operator may set.
type Setting struct {
	Name     string
	Place    Place
	Default  string // "" is none
	Sentence string
	// PerCloud says that one machine may set it again for each cloud, with the name of the cloud behind it.
	PerCloud bool

	// read checks a value and keeps it. The error continues a sentence that begins with the name of the setting. It
	// never quotes a secret.
	read func(s *Settings, text string) error
	// describe keeps a value of an application at Microsoft. name is the variable, with its cloud.
	describe describer
}

type describer = func(a *Application, name, text string) error

// All returns every setting, in the order in which they are documented.
func All() []Setting {
	return []Setting{
		{
			Name: Addr, Place: Machine, Default: "127.0.0.1:8080",
			Sentence: "Host and port to listen on.",
			read: func(s *Settings, text string) error {
				s.Addr = text
				if _, _, err := net.SplitHostPort(text); err != nil {
					return fmt.Errorf("must be a host and a port, not %q", text)
				}
				return nil
			},
		},
		plain(Data, Machine, func(s *Settings) *string { return &s.Data },
			"The data folder. Without it: `data/company`, `data/microsoft`, or one for each exported file."),
		plain(Records, Machine, func(s *Settings) *string { return &s.Records },
			"An exported audit log to import, instead of the invented company."),
		{
			Name: RetentionDays, Place: Everywhere,
			Sentence: "For how many days an event is kept after it was stored. Without it, events are kept for ever.",
			read: whole(1, 3650, func(s *Settings, n int) {
				s.Retention = time.Duration(n) * 24 * time.Hour
			}),
		},
		{
			Name: Hashes, Place: Everywhere, Default: string(enrich.All),
			Sentence: "Which files are read to be hashed: `all`, `external` (those that leave the company), or `none`.",
			read: func(s *Settings, text string) (err error) {
				if s.Hashes, err = enrich.ParseSetting(text); err != nil {
					return fmt.Errorf("must be all, external or none, not %q", text)
				}
				return nil
			},
		},
		{
			Name: HashLimitMB, Place: Everywhere, Default: strconv.Itoa(enrich.DefaultLimit >> 20),
			Sentence: "The size in megabytes above which a file is not hashed.",
			read:     whole(1, 10_000, func(s *Settings, n int) { s.HashLimit = int64(n) << 20 }),
		},
		{
			Name: EnrichMinutes, Place: Everywhere, Default: strconv.Itoa(int(enrich.DefaultDeadline / time.Minute)),
			Sentence: "For how many minutes recipients and hashes of a message are looked for; 1 in the simulated tenant.",
			read:     whole(1, 60, func(s *Settings, n int) { s.EnrichFor = time.Duration(n) * time.Minute }),
		},
		{
			Name: LookDays, Place: Everywhere, Default: "14",
			Sentence: "For how many days what is missing of a message after that is looked for again, at growing distances.",
			read:     whole(1, 90, func(s *Settings, n int) { s.LookFor = time.Duration(n) * 24 * time.Hour }),
		},
		{
			Name: CheckSends, Place: Everywhere, Default: "100",
			Sentence: "One in so many sends without attachments is looked for in its mailbox, to see whether the audit log " +
				"leaves attachments out. 0 looks for none.",
			read: whole(0, 1_000_000, func(s *Settings, n int) { s.CheckSends = n }),
		},
		ofApplication(ClientID, Everywhere, id(func(a *Application) *string { return &a.ClientID }),
			"The id of the application that is registered at Microsoft."),
		ofApplication(Publisher, Everywhere, id(func(a *Application) *string { return &a.Publisher }),
			"The id of your own tenant: Microsoft counts requests by it."),
		ofApplication(Certificate, Machine, certificate,
			"A file with the application's certificate and its private key, as PEM."),
		ofApplication(Secret, Machine, secret,
			"The application's client secret, instead of a certificate."),
		ofApplication(NewCertificate, Machine, certificate,
			"The certificate that replaces the present one. While both are set, either may be used."),
		ofApplication(NewSecret, Machine, secret,
			"The client secret that replaces the present one, in the same way."),
		{
			Name: RedirectURL, Place: Machine,
			Sentence: "The redirect URI of the application: the address of this machine, and `" + connection.CallbackPath + "`.",
			read: func(s *Settings, text string) error {
				base, ok := strings.CutSuffix(text, connection.CallbackPath)
				if s.Base = base; !ok || !address(base) {
					return fmt.Errorf("must be http:// or https://, a host, and %s, not %q", connection.CallbackPath, text)
				}
				return nil
			},
		},
		{
			Name: Cloud, Place: Everywhere, Default: string(connection.Commercial),
			Sentence: "The Microsoft cloud that the application is registered in: `commercial`, `gcc`, `gcchigh` or `dod`.",
			read: func(s *Settings, text string) (err error) {
				if s.Cloud, err = connection.ParseCloud(text); err != nil {
					return fmt.Errorf("must be commercial, gcc, gcchigh or dod, not %q", text)
				}
				return nil
			},
		},
		{
			Name: Endpoints, Place: Everywhere,
			Sentence: "A JSON file with endpoints of a cloud instead of Microsoft's, for clouds that we do not know and for " +
				"simulators: `{\"commercial\": {\"login\": \"https://...\", \"activity\": ..., \"graph\": ..., \"files\": ..., " +
				"\"activityScope\": ..., \"graphScope\": ...}}`. On AWS, where there are no files, the JSON itself.",
			read: func(s *Settings, text string) error {
				if !strings.HasPrefix(strings.TrimSpace(text), "{") {
					file, err := os.ReadFile(text)
					if err != nil {
						return fmt.Errorf("must be a JSON file that can be read: %w", err)
					}
					text = string(file)
				}
				s.Endpoints = text
				if err := json.Unmarshal([]byte(text), new(map[string]any)); err != nil {
					return fmt.Errorf("must hold a JSON object of endpoints: %w", err)
				}
				return nil
			},
		},
		{
			Name: BaseURL, Place: AWS,
			Sentence: "The address at which browsers and clients reach the API. Without it: that of the HTTP API.",
			read: func(s *Settings, text string) error {
				if s.Base = text; !address(text) {
					return fmt.Errorf("must be http:// or https:// and a host, and nothing after it, not %q", text)
				}
				return nil
			},
		},
		plain(CredentialARN, AWS, func(s *Settings) *string { return &s.CredentialARN },
			"The ARN of the secret that holds the application's certificate with its key (PEM), or its client secret."),
		plain(TableConnections, AWS, func(s *Settings) *string { return &s.Tables.Connections },
			"The DynamoDB table of connections, API clients and the trail."),
		plain(TableBlobs, AWS, func(s *Settings) *string { return &s.Tables.Blobs },
			"The DynamoDB table of the ledger."),
		plain(TableEvents, AWS, func(s *Settings) *string { return &s.Tables.Events },
			"The DynamoDB table of messages and their index."),
		plain(TablePeople, AWS, func(s *Settings) *string { return &s.Tables.People },
			"The DynamoDB table of the tenants' people."),
		plain(QueueBlobs, AWS, func(s *Settings) *string { return &s.BlobQueue },
			"The URL of the SQS queue of blobs to be read."),
		plain(QueueMessages, AWS, func(s *Settings) *string { return &s.MessageQueue },
			"The URL of the SQS queue of messages to be enriched."),
	}
}

// plain is a setting whose every value is good.
func plain(name string, place Place, field func(*Settings) *string, sentence string) Setting {
	keep := func(s *Settings, text string) error { *field(s) = text; return nil }
	return Setting{Name: name, Place: place, Sentence: sentence, read: keep}
}

// ofApplication is a setting of the application at Microsoft.
func ofApplication(name string, place Place, describe describer, sentence string) Setting {
	return Setting{Name: name, Place: place, PerCloud: true, Sentence: sentence, describe: describe}
}

func whole(least, most int, keep func(*Settings, int)) func(*Settings, string) error {
	return func(s *Settings, text string) error {
		n, err := strconv.Atoi(text)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d, not %q", least, most, text)
		}
		keep(s, n)
		return nil
	}
}

// id is the GUID of something at Microsoft. The error does not quote the value, because a secret is easily pasted into
// the wrong variable.
func id(field func(*Application) *string) describer {
	return func(a *Application, _, text string) error {
		if *field(a) = text; !connection.IsGUID(text) {
			return errors.New("is no GUID")
		}
		return nil
	}
}

func secret(a *Application, _, text string) error {
	a.Secrets = append(a.Secrets, text)
	return nil
}

func certificate(a *Application, name, text string) error {
	a.Certificates = append(a.Certificates, Variable{name, text})
	return nil
}

// address reports whether s is a scheme and a host, and nothing else.
func address(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s == u.Scheme+"://"+u.Host
}
