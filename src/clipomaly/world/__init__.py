"""The proving ground: procedural road and apron scenes with exact truth. Needs the extra `world` to render.

    pack → frame → settings → roads, aprons → day, layout → unknowns, nature, town, vehicles, people …
         → render → loader, grain, denoise;  truth, lidar, calibration;  develop → sky

`clipomaly.world.pack.render_pack` renders a pack, `clipomaly.world.sheet.contact_sheet` shows it.
"""
