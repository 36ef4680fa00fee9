package main

import (
	"strings"
	"testing"
	"time"
)

const (
	someID   = "5f0d3d5c-0a51-4b3f-9a7e-6c8f1b2d4e60"
	callback = "https://mailtrail.example/consent/callback"
)

func TestConfigurationsThatAreNoneAreRefusedByName(t *testing.T) {
	for _, test := range []struct{ env, want string }{
		{"ADDR=nonsense", "ADDR=nonsense"},
		{"MAILTRAIL_RETENTION_DAYS=0", "MAILTRAIL_RETENTION_DAYS=0"},
		{"MAILTRAIL_RETENTION_DAYS=many", "MAILTRAIL_RETENTION_DAYS=many"},
		// Half a real configuration never ends in a simulation, whichever half it is.
		{"MAILTRAIL_CLIENT_ID=" + someID, "MAILTRAIL_PUBLISHER is missing"},
		{"MAILTRAIL_CLIENT_SECRET=s", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_PUBLISHER=" + someID, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_REDIRECT_URL=" + callback, "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=gcc", "MAILTRAIL_CLIENT_ID is missing"},
		{"MAILTRAIL_CLOUD=mars", "MAILTRAIL_CLOUD"},
		{"MAILTRAIL_PUBLISHER=" + someID + " RECORDS=a.csv", "unset MAILTRAIL_PUBLISHER"},
		{real("/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https:///consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("ftp://mailtrail.example/consent/callback"), "MAILTRAIL_REDIRECT_URL must be"},
		{real("https://mailtrail.example/elsewhere"), "MAILTRAIL_REDIRECT_URL must be"},
		{real(callback) + " MAILTRAIL_CLIENT_CERTIFICATE=/no/such/file", "MAILTRAIL_CLIENT_CERTIFICATE"},
	} {
		if _, err := readConfig(environment(test.env)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that says %q", test.env, err, test.want)
		}
	}
}

func TestConfigurationsThatAreGood(t *testing.T) {
	c, err := readConfig(environment("RECORDS=a.csv MAILTRAIL_RETENTION_DAYS=3"))
	if err != nil || c.microsoft != nil || c.addr != "127.0.0.1:8080" || c.records != "a.csv" || c.retention != 72*time.Hour {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = readConfig(environment(real(callback)))
	if err != nil || c.microsoft == nil || c.base != "https://mailtrail.example" || c.microsoft.ClientID != someID {
		t.Errorf("%+v, %v", c, err)
	}
}

// real is a whole configuration with a redirect URL.
func real(redirect string) string {
	return "MAILTRAIL_CLIENT_ID=" + someID + " MAILTRAIL_CLIENT_SECRET=s MAILTRAIL_PUBLISHER=" + someID + " MAILTRAIL_REDIRECT_URL=" + redirect
}

func environment(pairs string) func(string) string {
	return func(name string) string {
		for pair := range strings.FieldsSeq(pairs) {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v
			}
		}
		return ""
	}
}
