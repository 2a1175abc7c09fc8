// A real Vault core (KV, AppRole, policies, leases) with in-memory storage, for tests: `vault-server 127.0.0.1:PORT`.
// It prints its root token as the only line on standard output, then serves Vault's HTTP API.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	log "github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// The registry that Vault's own command line fills with every plugin; here the two that the tests need.
type plugins map[string]logical.Factory

func (p plugins) get(name string) (logical.Factory, bool) { f, ok := p[name]; return f, ok }

func (p plugins) Contains(name string, _ consts.PluginType) bool { _, ok := p[name]; return ok }
func (p plugins) Get(name string, _ consts.PluginType) (func() (interface{}, error), bool) {
	f, ok := p[name]
	return func() (interface{}, error) { return f, nil }, ok
}
func (p plugins) Keys(consts.PluginType) (names []string) {
	for name := range p {
		names = append(names, name)
	}
	return names
}
func (p plugins) DeprecationStatus(name string, _ consts.PluginType) (consts.DeprecationStatus, bool) {
	_, ok := p[name]
	return consts.Supported, ok
}
func (p plugins) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: vault-server 127.0.0.1:PORT")
		os.Exit(2)
	}
	addr := os.Args[1]
	logger := log.New(&log.LoggerOptions{Level: log.Warn})
	storage, err := inmem.NewInmem(nil, logger)
	must(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: logger, RedirectAddr: "http://" + addr,
		BuiltinRegistry:    plugins{"kv": kv.Factory, "approle": approle.Factory},
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
	})
	must(err)
	ctx := context.Background()
	initialized, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: &vault.SealConfig{}})
	must(err)
	_, err = core.Unseal(initialized.SecretShares[0])
	must(err)
	fmt.Println(initialized.RootToken)
	must(http.ListenAndServe(addr, vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})))
}
