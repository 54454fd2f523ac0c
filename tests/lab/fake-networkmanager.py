#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""fake-networkmanager.py LINK=MANAGED...: on the system bus, what NetworkManager says of its devices."""
import sys

import dbus
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

DEVICE = "org.freedesktop.NetworkManager.Device"


class Objects(dbus.service.Object):
    @dbus.service.method("org.freedesktop.DBus.ObjectManager", out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        objects = {"/org/freedesktop/NetworkManager": {"org.freedesktop.NetworkManager": {"Version": "1.42.4", "Devices": dbus.Array([], "o")}}}
        for i, argument in enumerate(sys.argv[1:]):
            link, managed = argument.split("=")
            objects[f"/org/freedesktop/NetworkManager/Devices/{i}"] = {
                DEVICE + ".Statistics": {"RefreshRateMs": dbus.UInt32(0)},
                DEVICE: {"Managed": managed == "yes", "State": dbus.UInt32(100), "Interface": link, "StateReason": (dbus.UInt32(100), dbus.UInt32(0))},
            }
        return objects


DBusGMainLoop(set_as_default=True)
bus = dbus.SystemBus()
objects = Objects(bus, "/org/freedesktop")
name = dbus.service.BusName("org.freedesktop.NetworkManager", bus)
GLib.MainLoop().run()
