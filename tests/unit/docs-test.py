#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holds the documents to the code: what there is is documented, and nothing is documented that is not there.

Environment: SOURCE, the folder; MAN, the folder with the pages that were made; TABLES, what man/tables
printed; VMCTL and VMD, the programs. What vmctl and vmd say of themselves (--help) is what counts for their options.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ['SOURCE'])
MAN = Path(os.environ['MAN'])
TABLES = json.loads(Path(os.environ['TABLES']).read_text())
PAGES = ['vmctl.1', 'vmd.8', 'vmd.vm.5', 'vmd.net.5', 'vmd.pool.5', 'org.vmd1.5']
# Each schema of settings, and its page.
SCHEMAS = [(schema, re.sub(r'(.*)\((.)\)', r'\1.\2', schema['page'])) for schema in TABLES['schemas'].values()]
DOCUMENTS = ['README.md', 'CHANGELOG.md', 'HACKING.md',
             *(str(p.relative_to(SOURCE)) for p in sorted((SOURCE / 'docs').glob('*.md')))]

# Directives of systemd that the documents name.
SYSTEMD = {'Restart', 'KillSignal', 'TimeoutStopSec', 'Slice', 'DeviceAllow', 'Controller', 'DynamicUser',
           'ProtectSystem', 'CapabilityBoundingSet', 'NoNewPrivileges', 'DevicePolicy', 'MemoryMax'}
# Variables that commands in the documents set, and words that stand for others.
OTHERS = {'DESTDIR', 'SANITIZE', 'LAB_BIND', 'MAINPID', 'MESSAGE_ID', 'PROPERTY', 'READY', 'Key'}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          env={**os.environ, 'SYSTEMD_PAGER': '', 'SYSTEMD_COLORS': '0'}).stdout


def read(name):
    return (SOURCE / name).read_text()


def page(name):
    """A page as it was made."""
    return (MAN / name).read_text()


def plain(roff):
    """Roff without its escapes."""
    for escape, character in (('\\-', '-'), ('\\(aq', "'"), ('\\(ga', '`'), ('\\(ha', '^'), ('\\(ti', '~'),
                              ('\\&', ''), ('\\e', '\\')):
        roff = roff.replace(escape, character)
    return roff


def section(name, title):
    """The lines of a page between .Sh (or .Ss) TITLE and the next."""
    match = re.search(rf'^\.S[hs] {re.escape(title)}\n(.*?)(?=^\.S[hs] |\Z)', page(name), re.M | re.S)
    if not match:
        raise AssertionError(f'{name} has no section {title}')
    return match.group(1)


def prose_of(name, head):
    """What follows an .It HEAD, up to the next item."""
    return prose_in(page(name), head)


def prose_in(roff, head):
    match = re.search(rf'^\.It {head}.*\n((?:(?!\.It|\.El|\.S[hs]).*\n)*)', roff, re.M)
    return match.group(1).strip() if match else ''


def help_options(text):
    """The long options of a --help."""
    return set(re.findall(r'^ +(?:-\w )?\s*--([a-z-]+)', text, re.M))


def man_options(roff):
    return set(re.findall(r'Fl -([a-z-]+)', plain(roff)))


def texts():
    """All documents: name and text."""
    for name in DOCUMENTS:
        yield name, read(name)
    for name in PAGES:
        yield name, plain(page(name))


class Test(unittest.TestCase):
    def assert_known(self, word, known, where):
        if word not in known:
            self.fail(f'{where}: there is no {word}')


class Settings(Test):
    def test_each_key_and_no_other_stands_in_its_section(self):
        for schema, page_name in SCHEMAS:
            for row in schema['sections']:
                name = row['name'] + (' NAME' if row['named'] else '')
                documented = re.findall(r'^\.It Ic (\w+) Ns =', section(page_name, f'[{name}]'), re.M)
                keys = [k['key'] for k in schema['keys'] if k['section'] == row['name'] and k['key'] != '*']
                self.assertEqual(documented, keys, name)

    def test_each_scope_property_is_listed(self):
        listed = re.findall(r'(\w+)=', plain(section('vmd.vm.5', '[Scope]').split('.Bd')[1]))
        self.assertEqual(sorted(listed), sorted(TABLES['scope']))

    def test_defaults_and_limits_are_told(self):
        for schema, page_name in SCHEMAS:
            for row in schema['sections']:
                block = section(page_name, f'[{row["name"]}{" NAME" if row["named"] else ""}]')
                for key in schema['keys']:
                    if key['section'] != row['name']:
                        continue
                    words = plain(prose_in(block, f'Ic {key["key"]} Ns =')).replace('\n', ' ')
                    for told in [key['default'], *(key['words'] or '').split('|')]:
                        if told:
                            self.assertIn(told, words, key['key'])
                    self.assertEqual('A change holds at once' in words, key['live'], key['key'])

    def test_no_key_is_named_that_is_not_there(self):
        properties = set(re.findall(r'<property name="(\w+)"', read('dbus/org.vmd1.VM.xml')))
        known = {k['key'] for schema, _ in SCHEMAS for k in schema['keys']} | set(TABLES['scope']) | SYSTEMD | OTHERS
        for name, text in texts():
            # What "vmctl show" prints.
            text = re.sub(rf'^(?:{"|".join(properties)})=', '', text, flags=re.M)
            for word in re.findall(r'(?<![\w.$/-])([A-Z]\w+)(?: Ns )?=', text):
                self.assert_known(word, known, name)

    def test_no_section_is_named_that_is_not_there(self):
        known = {s['name'] for schema, _ in SCHEMAS for s in schema['sections']} | {'Service'}
        for name, text in texts():
            for word in re.findall(r'^\[([A-Z][A-Za-z]+)[ \]]', text, re.M):
                self.assert_known(word, known, name)


class Vmctl(Test):
    vmctl = os.environ['VMCTL']

    @classmethod
    def setUpClass(cls):
        cls.help = run(cls.vmctl, '--help')
        commands = cls.help.split('\nOptions:')[0]
        cls.verbs = re.findall(r'^  ([a-z-]+(?: [a-z-]+)?)\b', commands, re.M)
        cls.general = help_options(cls.help)
        cls.of_verb = {verb: help_options(run(cls.vmctl, *verb.split(), '--help')) for verb in cls.verbs}

    def test_each_command_is_documented_and_no_other(self):
        self.assertEqual(re.findall(r'^\.It Cm ([a-z-]+(?: [a-z-]+)?)\b', page('vmctl.1'), re.M), self.verbs)

    def test_each_option_is_documented_at_its_command(self):
        settings = {'vm': man_options(section('vmctl.1', 'Of VMs')), 'network': man_options(section('vmctl.1', 'Of networks')),
                    'pool': man_options(section('vmctl.1', 'Of pools'))}
        self.assertEqual(set(settings), set(TABLES['schemas']))
        for verb in self.verbs:
            block = re.search(rf'^\.It Cm {verb}\b(.*?)(?=^\.It Cm |^\.S[hs])', page('vmctl.1'), re.M | re.S).group(1)
            heads = '\n'.join(line for line in block.splitlines() if line.startswith('.It '))
            takes = next(v['settings'] for v in TABLES['verbs'] if v.get('name') == verb)
            self.assertEqual(man_options(heads) | settings.get(takes, set()), self.of_verb[verb], verb)

    def test_each_general_option_is_documented(self):
        heads = [line for line in section('vmctl.1', 'OPTIONS').splitlines() if line.startswith('.It ')]
        self.assertEqual(man_options('\n'.join(heads)), self.general)

    def test_exit_codes(self):
        told = dict(re.findall(r'^  (\d+) +(.+)$', self.help.split('\nExit codes:')[1], re.M))
        documented = {}
        items = re.findall(r'^\.It (\d+)\n((?:(?!\.It|\.El).*\n)*)', section('vmctl.1', 'EXIT STATUS'), re.M)
        for number, words in items:
            words = re.sub(r'^\.Cm |^\. ', '', words, flags=re.M).replace(' :', ':')
            documented[number] = ' '.join(words.split())
        self.assertEqual({n: w[0].lower() + w[1:].rstrip('.') for n, w in documented.items()}, told)

    def test_environment(self):
        used = set()
        for path in (SOURCE / 'client').glob('*.c'):
            used |= set(re.findall(r'getenv\("(\w+)"\)', path.read_text()))
        editors = re.search(r'variables\[\] = \{(.*?)\}', read('client/verb-edit.c')).group(1)
        used |= set(re.findall(r'"([A-Z_]+)"', editors))
        documented = set()
        for line in section('vmctl.1', 'ENVIRONMENT').splitlines():
            if re.match(r'\.It Ev|\.Pq Ev', line):
                documented |= set(re.findall(r'\b[A-Z_]{4,}\b', line))
        # What libsystemd looks at to find a bus.
        self.assertEqual(documented - {'XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'}, used)

    def commands(self):
        """Each vmctl command line in a document: (document, words)."""
        for name, text in texts():
            text = re.sub(r'\\\n *', ' ', text)
            if name.endswith('.md'):
                found = re.findall(r'`(vmctl [^`]+)`', text) + re.findall(r'^ *(?:[#$] |    )(vmctl .*)$', text, re.M)
            else:
                found = re.findall(r'^(?:[#$] |\.Ic )(vmctl [^\n]*)$', text, re.M)
            for command in found:
                command = re.sub(r'(?: [.,;:)]+)+$', '', command)
                yield name, shlex.split(command, comments=True)[1:]

    def test_no_command_or_option_is_used_that_is_not_there(self):
        count = 0
        letters = {o['letter']: o['name'] for o in TABLES['options'] if o['letter']}
        for name, words in self.commands():
            count += 1
            # A verb may have two words; the first one alone lists.
            pairs = [' '.join(pair) for pair in zip(words, words[1:])]
            verb = next((w for w in [*pairs, *words, *(f'{w} list' for w in words)] if w in self.verbs), None)
            if not verb:
                self.assertTrue(all(w.startswith('-') for w in words), f'{name}: vmctl {shlex.join(words)}')
            hidden = {o['name'] for o in TABLES['options'] if not o['summary'] and verb in (o['verbs'] or [])}
            known = self.general | hidden | (self.of_verb[verb] if verb else set())
            for word in words:
                if word == '--':
                    break
                option = re.match(r'--([a-z-]+)', word)
                letter = re.match(r'-([A-Za-z])$', word)
                if option:
                    self.assert_known(option.group(1), known, f'{name}: vmctl {shlex.join(words)}')
                elif letter:
                    self.assert_known(letters.get(letter.group(1)), known, f'{name}: vmctl {shlex.join(words)}')
        self.assertGreater(count, 50)


class Daemon(Test):
    def test_options(self):
        self.assertEqual(man_options(section('vmd.8', 'OPTIONS')), help_options(run(os.environ['VMD'], '--help')))

    def test_states_and_reasons(self):
        source = read('daemon/vm/vm.c')
        words = re.findall(r'\[(?:VM|REASON)_\w+\] = "([a-z-]+)"', source[:source.index('vm_state_to_string')])
        self.assertEqual(re.findall(r'^\.It Li ([a-z-]+)', section('vmd.8', 'STATES'), re.M), words)
        xml = ' '.join(read('dbus/org.vmd1.VM.xml').split())
        states = re.search(r'State: ([a-z ]+)\.', xml).group(1).split()
        reasons = re.search(r'came to that state: ([a-z, -]+)\.', xml).group(1).split(', ')
        self.assertEqual(states + reasons, words)

    def test_message_ids(self):
        ids = re.findall(r'#define MESSAGE_\w+ "([0-9a-f]{32})"', read('daemon/messages.h'))
        self.assertEqual(re.findall(r'^\.It Li ([0-9a-f]{32})', section('vmd.8', 'JOURNAL'), re.M), ids)
        for message_id in ids:
            self.assertTrue(prose_of('vmd.8', f'Li {message_id}'), message_id)
        for name, text in texts():
            for word in re.findall(r'\b[0-9a-f]{32}\b', text):
                self.assert_known(word, ids, name)

    def test_journal_fields(self):
        fields = set(re.findall(r'"([A-Z_]+)=%', read('daemon/vm/vm.c'))) - {'MESSAGE', 'PRIORITY'}
        documented = set()
        for line in re.findall(r'^\.It Va (.*)', section('vmd.8', 'JOURNAL'), re.M):
            documented |= set(line.split(' , '))
        self.assertEqual(documented, fields)

    def test_environment(self):
        used = set(re.findall(r'(?:xdg_dir|g_getenv)\("(\w+)"', read('daemon/dirs.c')))
        documented = set()
        for line in re.findall(r'^\.It Ev (.*)', section('vmd.8', 'ENVIRONMENT'), re.M):
            documented |= set(line.split(' , '))
        self.assertEqual(documented, used)

    def test_uids(self):
        source = read('daemon/guard/guard.h')
        for name in ('GUARD_QEMU_UIDS', 'GUARD_OWN_UIDS'):
            base = int(re.search(rf'#define {name} (0x[0-9a-f]+)U', source).group(1), 16)
            self.assertIn(str(base + 1), page('vmd.8'), name)

    def test_each_method_has_an_action(self):
        actions = set(re.findall(r'#define (ACTION_\w+)', read('daemon/access/access.h')))
        for interface in ('Manager', 'VM', 'Network', 'Pool', 'Job'):
            table = re.search(r'static const Method methods\[\] = \{\n(.*?)\{NULL\}', read(f'daemon/bus/{interface.lower()}-dbus.c'), re.S)
            rows = dict(re.findall(r'^    \{"(\w+)", (.*)\},$', table.group(1), re.M))
            methods = set(re.findall(r'<method name="(\w+)"', read(f'dbus/org.vmd1.{interface}.xml')))
            self.assertEqual(set(rows), methods)
            for method, row in rows.items():
                self.assertEqual(len(actions.intersection(re.findall(r'\bACTION_\w+', row))), 1, method)

    def test_actions(self):
        actions = re.findall(r'<action id="([^"]+)"', read('polkit/org.vmd1.policy'))
        self.assertEqual(re.findall(r'^\.It Li (org\.vmd1\.[a-z-]+)', section('vmd.8', 'SECURITY'), re.M), actions)
        for name, text in texts():
            for word in re.findall(r'\borg\.vmd1\.[a-z][a-z-]+\b', text):
                self.assert_known(word, actions, name)


class Bus(Test):
    interfaces = ['org.vmd1.Manager', 'org.vmd1.VM', 'org.vmd1.Network', 'org.vmd1.Pool', 'org.vmd1.Job']

    def of(self, interface, tag):
        return re.findall(rf'<{tag} name="(\w+)"', read(f'dbus/{interface}.xml'))

    def test_each_member_is_documented_and_no_other(self):
        for interface in self.interfaces:
            block = page('org.vmd1.5').split(f'.Sh {interface}\n')[1].split('\n.Sh ')[0]
            parts = dict(re.findall(r'^\.Ss (\w+)\n(.*?)(?=^\.Ss |\Z)', block, re.M | re.S))
            calls = [re.findall(r'^\.It Ic "?(\w+)\(', parts.get(part, ''), re.M) for part in ('Methods', 'Signals')]
            properties = re.findall(r'^\.It Ic "\S+ (\w+)"', parts.get('Properties', ''), re.M)
            there = [self.of(interface, tag) for tag in ('method', 'signal', 'property')]
            self.assertEqual([*calls, properties], there)

    def test_each_method_is_described(self):
        for interface in self.interfaces:
            text = read(f'dbus/{interface}.xml')
            for method in self.of(interface, 'method'):
                self.assertRegex(text, rf'(?:<!-- |, ){method}(?:, \w+)*: ', interface)

    def test_errors(self):
        documented = re.findall(r'^\.It Er (\S+)', section('org.vmd1.5', 'ERROR NAMES'), re.M)
        self.assertEqual(documented, TABLES['errors'])
        for error in documented:
            self.assertTrue(prose_of('org.vmd1.5', f'Er {error}'), error)
        known = {e.rsplit('.', 1)[1] for e in TABLES['errors']}
        for interface in self.interfaces:
            text = ' '.join(read(f'dbus/{interface}.xml').split())
            for words in re.findall(r'Errors: ([A-Z]\w+(?:, [A-Z]\w+)*)', text):
                for word in words.split(', '):
                    self.assert_known(word, known, interface)

    def test_no_member_is_named_that_is_not_there(self):
        members = {f'{i.rsplit(".", 1)[1]}.{m}' for i in self.interfaces for tag in ('method', 'signal', 'property')
                   for m in self.of(i, tag)}
        for name, text in texts():
            for interface, member in re.findall(r'org\.vmd1\.(Manager|VM|Network|Pool|Job)[. ]([A-Z]\w+)', text):
                self.assert_known(f'{interface}.{member}', members, name)


class Documents(Test):
    def test_files_that_are_named_are_there(self):
        count = 0
        for name in DOCUMENTS:
            text = read(name)
            for word in re.findall(r'`([^`\s]+)`', text) + re.findall(r'(?<![\w/.])(tests/[\w/.-]+)', text):
                if re.match(r'(common|daemon|client|dbus|units|polkit|man|tests|docs)/', word):
                    count += 1
                    self.assertTrue(list(SOURCE.glob(word.rstrip('/.'))), f'{name}: {word}')
        self.assertGreater(count, 40)

    def test_files_that_a_room_is_said_to_have_are_there(self):
        rows = re.findall(r'^\| `((?:common|daemon|client)/[a-z/]*)` \| (.*?) \|', read('docs/architecture.md'), re.M)
        self.assertTrue(rows)
        for folder, words in rows:
            for word in re.findall(r'`([\w*-]+\.[ch])`', words):
                self.assertTrue(list((SOURCE / folder).glob(word)), f'{folder}{word}')

    def test_each_room_is_on_the_map(self):
        text = read('docs/architecture.md')
        for folder in ('common', 'client', 'daemon', 'dbus', 'units', 'polkit', 'man', 'tests',
                       *(f'daemon/{p.name}' for p in (SOURCE / 'daemon').iterdir() if p.is_dir())):
            self.assertIn(f'`{folder}/`', text)

    def test_links_lead_somewhere(self):
        for name in DOCUMENTS:
            for target in re.findall(r'\]\(([^)#:]+)\)', read(name)):
                # docs/benchmarks.md is written by the bench.
                self.assertTrue(((SOURCE / name).parent / target).exists(), f'{name}: {target}')

    def test_functions_and_macros_that_are_named_are_there(self):
        names = set()
        for folder in ('common', 'daemon', 'client'):
            for path in (SOURCE / folder).rglob('*.[ch]'):
                names |= set(re.findall(r'\w+', path.read_text()))
        names |= set(re.findall(r'\w+', read('tests/lab/lib.sh')))
        for name in DOCUMENTS:
            for word in re.findall(r'`([a-z]\w+_\w+)(?:\(\))?`', read(name)):
                self.assert_known(word, names, name)

    def test_the_packages_are_those_that_tests_install(self):
        wanted = set()
        for line in read('tests/packages').splitlines():
            kind, _, package = line.partition(' ')
            if kind in ('build', 'run'):
                wanted.add(package.split()[0].replace('@QEMU@', 'x86').replace('@ARCH@', 'amd64'))
        line = re.search(r'^ *Debian 12 +apt-get install --no-install-recommends (.*)$', read('README.md'), re.M)
        told = line.group(1).split()
        # What each Debian with systemd has, and what QEMU's package brings itself.
        self.assertEqual(set(told), wanted - {'systemd', 'seabios'})

    def test_the_build_commands_work(self):
        commands = re.findall(r'^ *# (meson .*)$', read('README.md'), re.M)
        self.assertTrue(commands)
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / 'tree'
            tree.symlink_to(SOURCE)
            for command in commands:
                words = [w if w != 'build' else f'{folder}/build' for w in shlex.split(command)]
                if words[1] == 'setup':
                    words += [str(SOURCE), '-Dfuzz=false'] if 'fuzz' in read('meson_options.txt') else [str(SOURCE)]
                elif words[1] == 'install':
                    words += ['--dry-run', '--no-rebuild']
                result = subprocess.run(words, capture_output=True, text=True)
                output = result.stdout + result.stderr
                # Nothing was compiled: install finds the first file missing, and nothing else wrong.
                missing = words[1] == 'install' and 'could not be found' in output
                if result.returncode != 0 and not missing:
                    self.fail(f'{command}: {output}')


class Rendering(Test):
    def test_mandoc_has_nothing_to_say(self):
        if not shutil.which('mandoc'):
            self.skipTest('there is no mandoc here')
        for name in PAGES:
            command = ['mandoc', '-T', 'lint', '-W', 'warning', MAN / name]
            result = subprocess.run(command, capture_output=True, text=True)
            said = [line for line in result.stdout.splitlines() if ' STYLE: ' not in line]
            self.assertEqual(said, [], name)

    def test_displays_show_what_is_written(self):
        renderers = [r for r in (['groff', '-Tutf8', '-mdoc', '-P-cbou', '-ww'], ['mandoc', '-Tutf8', '-Owidth=200'])
                     if shutil.which(r[0])]
        if not renderers:
            self.skipTest('there is neither groff nor mandoc here')
        for name in PAGES:
            template = read(f'man/{name}.in')
            lines = [line.strip() for block in re.findall(r'^\.Bd -literal.*?\n(.*?)^\.Ed', template, re.M | re.S)
                     for line in block.splitlines() if line.strip() and not line.startswith('.\\"')]
            for renderer in renderers:
                result = subprocess.run([*renderer, MAN / name], capture_output=True, check=True)
                self.assertEqual(result.stderr, b'', f'{name}: {renderer[0]}')
                shown = {' '.join(re.sub('.\b', '', line).split()) for line in result.stdout.decode().splitlines()}
                for line in lines:
                    self.assertTrue(' '.join(line.split()) in shown, f'{name}: {renderer[0]} does not show: {line}')


if __name__ == '__main__':
    unittest.main()
