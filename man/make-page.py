#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make-page.py SOURCE_ROOT TABLES TEMPLATE PAGE NAME=VALUE...: makes a manual page, in mdoc, from its template.

TABLES is what the program "tables" printed. A template is mdoc with lines of these forms:

    @about KIND NAME ... @end   prose that goes with a row of a table; nothing is printed here
    @verbs @options
    @setting-options SCHEMA  @sections SCHEMA     a schema of TABLES: vm, network
    @interface NAME  @methods NAME  @signals NAME  @properties NAME  @errors
    @messages @actions
    @NAME@                      in any line: the VALUE of the command line

What a table has and nobody wrote about is printed from the table alone. What somebody wrote about and no table has
is an error. In literal displays (.Bd -literal) all characters stand for themselves.
"""

import json
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path

LITERAL = str.maketrans({'\\': '\\e', '-': '\\-', "'": '\\(aq', '`': '\\(ga', '^': '\\(ha', '~': '\\(ti'})
TEXT = str.maketrans({'\\': '\\e'})


class PageError(Exception):
    pass


def literal(line):
    """A line of a literal display as roff."""
    line = line.translate(LITERAL)
    return '\\&' + line if line.startswith(('.', '\\(aq')) else line


def wrap(words):
    """Lines of at most 78 columns, of which none is taken for a macro."""
    return ['\\&' + line if line.startswith(('.', "'")) else line
            for line in textwrap.wrap(words, 78, break_long_words=False, break_on_hyphens=False)]


def text(words):
    """Prose as roff: a line a sentence."""
    lines = []
    for sentence in re.split(r'(?<=[.;:!?])\s+(?=\S)', ' '.join(words.split())):
        lines += wrap(sentence.translate(TEXT))
    return lines


def sentence(words):
    """The summary of a table, which --help shows without a full stop."""
    return words if words.endswith(('.', '!', '?')) else words.rstrip(';, ') + '.'


def either(words):
    return ' or '.join([', '.join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def argument(words):
    """A macro's argument that holds any text."""
    return '"' + words.translate(LITERAL).replace('"', '""') + '"' if ' ' in words else words.translate(LITERAL)


def synopsis(words):
    """NAME... [-- WORD...] as macros."""
    out = []
    for token in re.findall(r'\[[^]]*\]|\S+', words):
        optional = token.startswith('[')
        parts = token.strip('[]').split()
        macros = []
        for part in parts:
            name = part.removesuffix('...')
            if name.startswith('-'):
                macros.append('Fl ' + name[1:].translate(LITERAL))
            else:
                macros.append('Ar ' + name.translate(LITERAL) + (' ...' if part != name else ''))
        out.append(f'Oo {" ".join(macros)} Oc' if optional else ' '.join(macros))
    return ' '.join(out)


class Page:
    def __init__(self, root, tables):
        self.root = root
        self.tables = tables
        self.about = {}
        self.used = set()
        self.out = []

    # ---- prose that goes with rows

    def add_prose(self, kind, name):
        self.used.add((kind, name))
        self.out += self.about.get((kind, name), [])

    # ---- vmctl

    def option_head(self, option):
        value = option['metavar']
        tail = ''
        if value:
            tail = f' Ns Op = Ns Ar {argument(value)}' if option['optional'] else f' Ns = Ns Ar {argument(value)}'
        head = f'Fl \\-{option["name"].translate(LITERAL)}{tail}'
        if option['letter']:
            short = f'Fl {option["letter"]}'
            if value and not option['optional']:
                short += f' Ar {argument(value)}'
            head = f'{short} , {head}'
        return '.It ' + head

    def add_option(self, option, owner):
        self.out.append(self.option_head(option))
        self.out += text(sentence(option['summary']))
        if option['words'] and not all(word in option['summary'] for word in option['words'].split('|')):
            self.out += text(f'One of {either(option["words"].split("|"))}.')
        self.add_prose('option', f'{owner}--{option["name"]}')

    def options_of(self, verb):
        return [o for o in self.tables['options']
                if o['summary'] and (o['verbs'] is None if verb is None else verb in (o['verbs'] or []))]

    def do_options(self):
        self.out.append('.Bl -tag -width Ds')
        for option in self.options_of(None):
            self.add_option(option, '')
        self.out.append('.El')

    def do_verbs(self):
        is_open = False
        for verb in self.tables['verbs']:
            if 'heading' in verb:
                if is_open:
                    self.out.append('.El')
                is_open = False
                self.out.append(f'.Ss {verb["heading"]}')
                self.add_prose('heading', verb['heading'])
                continue
            if verb['hidden']:
                continue
            if not is_open:
                self.out.append('.Bl -tag -width Ds')
                is_open = True
            self.out.append(f'.It Cm {verb["name"]} {synopsis(verb["synopsis"])}'.rstrip())
            self.out += text(sentence(verb['summary']))
            self.add_prose('verb', verb['name'])
            options = self.options_of(verb['name'])
            if options:
                self.out += ['.Bl -tag -width Ds']
                for option in options:
                    self.add_option(option, verb['name'] + ' ')
                self.out.append('.El')
        if is_open:
            self.out.append('.El')

    def do_setting_options(self, schema):
        self.out.append('.Bl -tag -width Ds')
        for key in self.tables['schemas'][schema]['keys']:
            if not key['option']:
                continue
            value = key['metavar'] or key['words'] or 'VALUE'
            self.out.append(f'.It Fl \\-{key["option"].translate(LITERAL)} Ns = Ns Ar {argument(value)}')
            self.out += text(sentence(key['summary']))
            section = key['section'] + (' NAME' if self.is_named(schema, key['section']) else '')
            self.out += [f'Sets', f'.Ic {key["key"]} Ns =', f'of [{section}].']
            self.add_prose('setting-option', f'{schema} {key["option"]}')
        self.out.append('.El')

    # ---- settings

    def is_named(self, schema, section):
        return next(s['named'] for s in self.tables['schemas'][schema]['sections'] if s['name'] == section)

    def do_sections(self, schema):
        keys = self.tables['schemas'][schema]['keys']
        for section in self.tables['schemas'][schema]['sections']:
            name = section['name'] + (' NAME' if section['named'] else '')
            self.out.append(f'.Ss [{name}]')
            self.out += text(section['summary'])
            self.add_prose('section', section['name'])
            own = [k for k in keys if k['section'] == section['name']]
            if any(k['key'] != '*' for k in own):
                self.add_keys([k for k in own if k['key'] != '*'])
            if any(k['key'] == '*' for k in own):
                self.add_scope()

    @staticmethod
    def allowed(key):
        """What a value may be, as a sentence."""
        low, high = key['min'], key['max']
        if key['words']:
            return f'One of {either(key["words"].split("|"))}.'
        words = key['type'][0].upper() + key['type'][1:]
        if key['signature'] == 's':
            return f'{words}, at most {high} bytes.' if high else f'{words}.'
        if low and high:
            return f'{words}, from {low} to {high}.'
        return f'{words}, at least {low}.' if low else f'{words}.'

    def add_keys(self, keys):
        self.out.append('.Bl -tag -width Ds')
        for key in keys:
            self.out.append(f'.It Ic {key["key"]} Ns =')
            self.out += text(key['summary'])
            self.out += text(self.allowed(key))
            if key['default'] is not None:
                self.out += text(f'The default is {key["default"]}.')
            if key['required']:
                self.out += text(f'Must be set, unless {key["unless"]}.' if key['unless'] else 'Must be set.')
            if key['live']:
                self.out += text('A change holds at once, for a VM that runs too.')
            if key['option']:
                self.out += ['With', '.Xr vmctl 1 :', f'.Fl \\-{key["option"].translate(LITERAL)} .']
            self.add_prose('key', f'{key["section"]}.{key["key"]}')
        self.out.append('.El')

    def add_scope(self):
        """The names in two columns."""
        names = self.tables['scope']
        self.out.append('.Bd -unfilled -offset indent')
        rows = -(-len(names) // 2)
        for i in range(rows):
            line = ''.join(f'{name}='.ljust(34) for name in names[i::rows])
            self.out.append(line.rstrip())
        self.out.append('.Ed')

    # ---- the bus

    def xml(self, interface):
        """The interface's element, each child with the comment before it as attribute `doc`."""
        path = self.root / f'dbus/{interface}.xml'
        builder = ElementTree.TreeBuilder(insert_comments=True)
        node = ElementTree.parse(path, ElementTree.XMLParser(target=builder)).getroot()
        comment = ''
        for child in node:
            if child.tag is ElementTree.Comment:
                comment = child.text
            elif child.tag == 'interface':
                return path, child, comment
        raise PageError(f'{path} has no interface')

    def members(self, interface, tag):
        """[(element, words)]. A comment is about the elements behind it: it names them, "Leader: PID of ...", and
        may name several, "Pause, Resume: ...", or go on with the next, "... QEMUProcess: QEMU's"; or it is about
        the first."""
        _, element, _ = self.xml(interface)
        known = {child.get('name') for child in element if child.tag is not ElementTree.Comment}
        name = '(?:' + '|'.join(map(re.escape, known)) + ')'
        heads = re.compile(rf'(?:^|(?<=[.;] ))({name}(?:, {name})*): ')
        rows, words, pending = [], {}, None
        for child in element:
            if child.tag is ElementTree.Comment:
                parts = heads.split(' '.join(child.text.split()))
                words, pending = {}, parts[0] or None
                for names, part in zip(parts[1::2], parts[2::2]):
                    words.update(dict.fromkeys(names.split(', '), part))
                continue
            if child.tag == tag:
                rows.append((child, words.get(child.get('name'), pending or '').strip()))
            pending = None
        return rows

    def add_doc(self, doc):
        """The comment's words; what a caller must know of errors and authorisation in paragraphs of their own."""
        parts = [part.strip() for part in re.split(r'(?=\b(?:Errors|Action): )', doc)]
        if parts[0]:
            self.out += text(sentence(parts[0]))
        for i, part in enumerate(parts[1:]):
            self.out += (['.br'] if i or parts[0] else []) + text(part)

    def signature(self, element):
        # Of a method's arguments those that are not out; all of a signal's.
        outs = [a for a in element.findall('arg') if element.tag == 'method' and a.get('direction') == 'out']
        ins = [a for a in element.findall('arg') if a not in outs]

        def list_of(args):
            return ', '.join(f'{a.get("type")} {a.get("name")}' for a in args)
        name = element.get('name')
        result = f' -> {list_of(outs)}' if outs else ''
        return f'{name}({list_of(ins)}){result}'

    def do_interface(self, interface):
        """What the comment before the interface says, without its first words, the name."""
        _, _, comment = self.xml(interface)
        paragraphs = re.split(r'\n\s*\n', textwrap.dedent(comment).strip())
        for i, paragraph in enumerate(paragraphs):
            paragraph = ' '.join(paragraph.split())
            paragraph = re.sub(r'^' + re.escape(interface) + r': ', '', paragraph)
            self.out += (['.Pp'] if i else []) + text(sentence(paragraph[0].upper() + paragraph[1:]))

    def add_members(self, interface, tag, head):
        self.out.append('.Bl -tag -width Ds')
        rows = self.members(interface, tag)
        for i, (element, words) in enumerate(rows):
            self.out.append(head(element))
            # One description for several that follow each other.
            if words and i + 1 < len(rows) and rows[i + 1][1] == words:
                continue
            self.add_doc(words[0].upper() + words[1:] if words and tag == 'method' else words)
            self.add_prose(tag, f'{interface}.{element.get("name")}')
        self.out.append('.El')

    def do_methods(self, interface):
        self.add_members(interface, 'method', lambda e: '.It Ic ' + argument(self.signature(e)))

    def do_signals(self, interface):
        self.add_members(interface, 'signal', lambda e: '.It Ic ' + argument(self.signature(e)))

    def do_properties(self, interface):
        def head(element):
            constant = any(a.get('value') == 'const' for a in element.findall('annotation'))
            words = argument(f'{element.get("type")} {element.get("name")}')
            return f'.It Ic {words}' + (' Pq constant' if constant else '')
        self.add_members(interface, 'property', head)

    def do_errors(self):
        self.out.append('.Bl -tag -width Ds')
        for error in self.tables['errors']:
            name = error.rsplit('.', 1)[1]
            self.out.append(f'.It Er {error}')
            self.add_prose('error', name)
        self.out.append('.El')

    # ---- vmd

    def do_messages(self):
        header = (self.root / 'daemon/messages.h').read_text()
        self.out.append('.Bl -tag -width Ds')
        for name, message_id in re.findall(r'#define (MESSAGE_\w+) "([0-9a-f]{32})"', header):
            self.out.append(f'.It Li {message_id}')
            self.add_prose('message', name)
        self.out.append('.El')

    def do_actions(self):
        words = {'yes': 'anybody', 'no': 'nobody', 'auth_admin': 'with an administrator\'s password',
                 'auth_admin_keep': 'with an administrator\'s password, which then holds for a while',
                 'auth_self_keep': 'with one\'s own password, which then holds for a while'}
        policy = ElementTree.parse(self.root / 'polkit/org.vmd1.policy').getroot()
        self.out.append('.Bl -tag -width Ds')
        for action in policy.findall('action'):
            name = action.get('id')
            self.out.append(f'.It Li {name}')
            self.out += text(sentence(action.findtext('description')))
            defaults = action.find('defaults')
            active, others = defaults.findtext('allow_active'), defaults.findtext('allow_any')
            allowed = f'On the host\'s own screen: {words[active]}; else: {words[others]}.'
            self.out += text(f'Allowed to {words[active]}.' if active == others == 'yes' else allowed)
            self.add_prose('action', name)
        self.out.append('.El')

    # ---- the template

    def read_about(self, lines):
        """Takes the @about blocks out."""
        rest, block = [], None
        for number, line in enumerate(lines, 1):
            start = re.match(r'@about (\S+) (.+)$', line)
            if start:
                if block is not None:
                    raise PageError(f'{number}: @about within @about')
                if start.groups() in self.about:
                    raise PageError(f'{number}: a second @about {" ".join(start.groups())}')
                block = self.about[start.groups()] = []
            elif line == '@end':
                if block is None:
                    raise PageError(f'{number}: @end without @about')
                block = None
            elif block is not None:
                block.append(line)
            else:
                rest.append(line)
        if block is not None:
            raise PageError('the last @about has no @end')
        return rest

    def make(self, template):
        lines = self.read_about(template.splitlines())
        for line in lines:
            if not line.startswith('@'):
                self.out.append(line)
                continue
            directive, *arguments = line[1:].split()
            handler = getattr(self, 'do_' + directive.replace('-', '_'), None)
            if not handler:
                raise PageError(f'there is no directive @{directive}')
            handler(*arguments)
        unused = sorted(set(self.about) - self.used)
        if unused:
            raise PageError('no table has: ' + ', '.join(' '.join(key) for key in unused))
        return self.escape_displays()

    def escape_displays(self):
        lines, in_display = [], False
        for line in self.out:
            if in_display and not line.startswith('.Ed'):
                lines.append(literal(line) if not line.startswith('.\\"') else line)
                continue
            in_display = bool(re.match(r'\.Bd -(literal|unfilled)', line))
            lines += [line] if line.startswith('.') else wrap(line)
        return '\n'.join(lines) + '\n'


def main(root, tables, template, page, *substitutions):
    source = Path(template).read_text()
    for pair in substitutions:
        name, _, value = pair.partition('=')
        source = source.replace(f'@{name}@', value)
    try:
        made = Page(Path(root), json.loads(Path(tables).read_text())).make(source)
    except PageError as error:
        sys.exit(f'{template}: {error}')
    Path(page).write_text(f'.\\" Made from {Path(template).name} and tables in the sources.\n{made}')


if __name__ == '__main__':
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
