// A real Vault core (KV, AppRole, policies, leases) for tests: `vault-server 127.0.0.1:PORT [DIRECTORY]`. Its storage is in
// memory, or in the directory, where it survives the death of the process: the next start unseals it by itself.
// It prints its root token as the only line on standard output, then serves Vault's HTTP API.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	log "github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
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

// What opens a Vault that was started before.
type keys struct {
	Unseal []byte
	Root   string
}

func keysFile(directory string) string { return filepath.Join(directory, "keys.json") }

func openStorage(directory string, logger log.Logger) (physical.Backend, error) {
	if directory == "" {
		return inmem.NewInmem(nil, logger)
	}
	return file.NewFileBackend(map[string]string{"path": filepath.Join(directory, "data")}, logger)
}

// The keys of this storage: those kept beside it, or new ones. Without a directory nothing is kept.
func openKeys(ctx context.Context, core *vault.Core, directory string) (keys, error) {
	var opened keys
	initialized, err := core.Initialized(ctx)
	if err != nil {
		return opened, err
	}
	if initialized {
		kept, err := os.ReadFile(keysFile(directory))
		if err != nil {
			return opened, err
		}
		return opened, json.Unmarshal(kept, &opened)
	}
	made, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}, RecoveryConfig: &vault.SealConfig{}})
	if err != nil {
		return opened, err
	}
	opened = keys{Unseal: made.SecretShares[0], Root: made.RootToken}
	if directory == "" {
		return opened, nil
	}
	text, err := json.Marshal(opened)
	if err != nil {
		return opened, err
	}
	return opened, os.WriteFile(keysFile(directory), text, 0o600)
}

func main() {
	if len(os.Args) != 2 && len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: vault-server 127.0.0.1:PORT [DIRECTORY]")
		os.Exit(2)
	}
	addr, directory := os.Args[1], ""
	if len(os.Args) == 3 {
		directory = os.Args[2]
		must(os.MkdirAll(directory, 0o700))
	}
	logger := log.New(&log.LoggerOptions{Level: log.Warn})
	storage, err := openStorage(directory, logger)
	must(err)
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, DisableMlock: true, Logger: logger, RedirectAddr: "http://" + addr,
		BuiltinRegistry:    plugins{"kv": kv.Factory, "approle": approle.Factory},
		LogicalBackends:    map[string]logical.Factory{"kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
	})
	must(err)
	opened, err := openKeys(context.Background(), core, directory)
	must(err)
	_, err = core.Unseal(opened.Unseal)
	must(err)
	fmt.Println(opened.Root)
	must(http.ListenAndServe(addr, vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})))
}
