package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mailtrail/mailtrail/shared/settings"
)

// settingsTopic is the page of the help that lists what can be set in the environment of one machine.
func settingsTopic() *cobra.Command {
	var page strings.Builder
	page.WriteString(
		"Mailtrail reads these settings from its environment. Those marked with * describe the application at\n" +
			"Microsoft. For each further cloud, set them again with its name behind them: " + settings.ClientID + "_GCCHIGH.\n",
	)
	for _, s := range settings.All() {
		if s.Place == settings.AWS {
			continue
		}
		name := s.Name
		if s.PerCloud {
			name += " *"
		}
		fmt.Fprintf(&page, "\n  %s\n      %s", name, strings.ReplaceAll(s.Sentence, "`", ""))
		if s.Default != "" {
			fmt.Fprintf(&page, " Default: %s.", s.Default)
		}
		page.WriteByte('\n')
	}
	return &cobra.Command{Use: "settings", Short: "What can be set in the environment", Long: page.String()}
}
